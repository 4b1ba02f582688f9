"""From archives and recordings to windows, split by subject and audited."""
