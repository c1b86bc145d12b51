"""The workspace service: what runs and people do with an organisation's workspaces."""
