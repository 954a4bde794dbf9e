namespace Platform.Domain.Capabilities.Undoing;

/// <summary>
/// Every effect of a tenant, from the events of its runs and undos by <see cref="EffectHistory"/>. The tenant is the one whose message is handled.
/// Current: it holds what was durable when it was asked.
/// </summary>
public interface IEffectHistory
{
    /// <summary>What a plan needs to know: the selected effects and all that touched the same resources, or simply everything.</summary>
    Task<IReadOnlyList<EffectRecord>> Around(UndoSelection selection, CancellationToken cancellation);

    /// <returns>Null where there is none of that id.</returns>
    Task<EffectRecord?> Find(EffectId effect, CancellationToken cancellation);
}
