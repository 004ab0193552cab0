"""Work that agentd has done by processes of its own: niced, in a cgroup of ours, ended with the agent."""
