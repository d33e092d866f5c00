"""Who may do what: security levels and the limits they grant."""
