"""Where machines come from: one class for each kind of cloud."""
