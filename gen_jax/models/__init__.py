"""Networks: pure linen modules, one architecture per file."""
