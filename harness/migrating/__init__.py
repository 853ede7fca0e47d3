"""Databases brought to what this version wants: schemas, logins, linked servers; and waiting until they are."""
