"""What users pass, checked in one place."""
