using Platform.Domain.Capabilities;
using Platform.Domain.Daemons.Format;

namespace Platform.Capabilities;

/// <summary>The capabilities of this installation. What it hands out checks arguments against the descriptor's schema before anything else.</summary>
public sealed class CapabilityRegistry : ICapabilityRegistry
{
    private readonly Dictionary<string, ICapability> byName;

    /// <exception cref="ArgumentException">Two of one name.</exception>
    /// <exception cref="JsonSchemaException">A descriptor's schema is none.</exception>
    public CapabilityRegistry(IEnumerable<ICapability> capabilities)
    {
        byName = capabilities.ToDictionary(c => c.Descriptor.Name, c => (ICapability)new Checked(c), StringComparer.Ordinal);
        All = [.. byName.Values.Select(c => c.Descriptor).OrderBy(d => d.Name, StringComparer.Ordinal)];
    }

    public IReadOnlyList<CapabilityDescriptor> All { get; }

    public ICapability? Find(string name) => byName.GetValueOrDefault(name);

    private sealed class Checked(ICapability inner) : ICapability
    {
        private readonly JsonSchema schema = JsonSchema.Parse(inner.Descriptor.Arguments);

        public CapabilityDescriptor Descriptor => inner.Descriptor;

        public async Task<EffectPlan> Plan(CapabilityCall call, CancellationToken cancellation)
        {
            Check(call);
            return await inner.Plan(call, cancellation);
        }

        public async Task<EffectResult> Perform(CapabilityCall call, EffectPlan plan, CancellationToken cancellation)
        {
            Check(call);
            return await inner.Perform(call, plan, cancellation);
        }

        public Task<ReadBack> ReadBack(CapabilityCall call, EffectPlan plan, CancellationToken cancellation) => inner.ReadBack(call, plan, cancellation);

        private void Check(CapabilityCall call)
        {
            if (schema.Validate(call.Arguments) is [var first, ..])
            {
                throw new CapabilityException("invalid", $"{call.Capability}: {(first.Pointer.Length > 0 ? first.Pointer : "arguments")}: {first.Message}");
            }
        }
    }
}
