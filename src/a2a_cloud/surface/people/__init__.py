"""Pages on which people sign in and look after their accounts, and what their sessions open."""
