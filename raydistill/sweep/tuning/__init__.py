"""Equal search budgets: the same number of trials of settings for every method, before the methods are compared."""
