"""HTTP: the API, the event stream and the pages."""
