"""What of Paddock is on a host, what is out of place, and the removal of what is provably ours. Works while agentd is down."""
