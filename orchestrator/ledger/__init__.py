"""What was done: stores, leases, records, attempts and the files that stages write."""
