// Generated from proto/service_config.json. DO NOT EDIT.
export const serviceConfig = {
  "methodConfig": [
    {
      "name": [
        {
          "service": "crucible.v1.ScriptService"
        },
        {
          "service": "crucible.v1.EventService"
        },
        {
          "service": "crucible.v1.RegistryService"
        },
        {
          "service": "crucible.v1.ConfigService"
        }
      ],
      "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": [
          "UNAVAILABLE"
        ]
      }
    }
  ]
} as const;
