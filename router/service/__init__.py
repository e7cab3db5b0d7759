"""The one path of a request, from the checked body to the reply, and what is kept of it."""
