"""Routes for administrators, behind the guard of `admin.bp`."""
