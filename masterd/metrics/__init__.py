"""What monitoring sees of a master: OpenMetrics, and Mesos' names for old dashboards."""
