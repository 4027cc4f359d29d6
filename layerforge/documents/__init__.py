"""What lies beside a zip for who audits it, and what packages say of themselves."""
