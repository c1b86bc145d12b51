"""Money: prices, accounts in double entry, holds, budgets, and the rails that it comes and goes by."""
