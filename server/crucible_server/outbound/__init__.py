"""HTTP requests on behalf of scripts: what may be reached, how it is dialled, and how much comes back."""
