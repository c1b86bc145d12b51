"""The way out of a cage: a filtering forward proxy for each worker, and the secrets that it adds."""
