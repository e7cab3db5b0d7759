"""The endpoints, one file per surface; each reads a request, asks the gateway's parts, and writes the reply."""
