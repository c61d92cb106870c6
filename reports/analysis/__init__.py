"""From runs to tables and findings."""
