"""Renders templates in processes of their own, which can open nothing and are killed past their limits."""
