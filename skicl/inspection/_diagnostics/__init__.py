"""What an in-context classifier depends on."""
