"""What people see of a search: made of its events and its folder, and unable to change either."""
