"""What the commands say to a server. Apart from them, as it loads gRPC, which help and completion do without."""
