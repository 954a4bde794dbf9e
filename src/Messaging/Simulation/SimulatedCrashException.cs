namespace Platform.Messaging;

/// <summary>The process dies here. Thrown by the in-memory store on demand; nothing in the pipeline catches it.</summary>
public sealed class SimulatedCrashException() : Exception("A crash was asked for.");
