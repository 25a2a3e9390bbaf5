"""People: who they are, what they may do (permission.py), which rows they may see (scope.py), how they come in."""
