"""Many files translated: a shard in, a shard out, by several processes or a cluster."""
