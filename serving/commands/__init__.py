"""The commands of serving, one module each; what is heavy is imported when a command runs."""
