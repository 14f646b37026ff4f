"""The director: owns users, applications, certificates and clouds; the only door for clients."""
