"""Programs as actions: executors that run them in a sandbox and stop at every call of a tool."""
