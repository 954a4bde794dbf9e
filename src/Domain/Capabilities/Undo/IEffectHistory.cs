using Platform.Messaging;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>
/// Every effect of a tenant, from the events of its runs and undos by <see cref="EffectHistory"/>.
/// Current: it holds what was durable when it was asked.
/// </summary>
public interface IEffectHistory
{
    /// <summary>What a plan needs to know: the selected effects and all that touched the same resources, or simply everything.</summary>
    Task<IReadOnlyList<EffectRecord>> Around(TenantId tenant, UndoSelection selection, CancellationToken cancellation);

    /// <returns>Null where there is none of that id.</returns>
    Task<EffectRecord?> Find(TenantId tenant, EffectId effect, CancellationToken cancellation);
}
