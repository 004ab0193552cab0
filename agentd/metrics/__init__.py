"""What monitoring sees of an agent: OpenMetrics, and Mesos' names for old dashboards."""
