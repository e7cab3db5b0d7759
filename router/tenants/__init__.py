"""Who pays: declared tenants, their own rules, their accounts and alerts."""
