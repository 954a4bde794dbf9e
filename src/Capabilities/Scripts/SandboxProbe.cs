namespace Platform.Capabilities.Scripts;

public enum LayerState { Works, Weaker, Missing }

/// <param name="Sentence">For the person who runs the machine: what was found and, where it is not enough, what to do.</param>
public sealed record SandboxLayer(string Name, LayerState State, string Sentence);

/// <summary>What <c>doctor</c> shows about scripts.</summary>
/// <param name="Tier">Null: no script will run here.</param>
public sealed record SandboxProbe(SandboxTier? Tier, IReadOnlyList<SandboxLayer> Layers);
