namespace Platform.EmbeddedPostgres;

/// <summary>The private cluster cannot be had. The message names the cause and what to do; it is meant for a person.</summary>
public sealed class ClusterException(string message, Exception? inner = null) : Exception(message, inner);
