using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Platform.Messaging;

namespace Platform.Domain.Inference;

/// <summary>The models of a tenant; also the id of their stream. There is one, since streams have their tenant in their key.</summary>
[JsonConverter(typeof(GuidIdConverter<ModelLibraryId>))]
public readonly record struct ModelLibraryId(Guid Value) : IGuidId<ModelLibraryId>
{
    public static ModelLibraryId Only { get; } = new(DeterministicId.Of(Guid.Empty, "model-library"));

    public static ModelLibraryId From(Guid value) => new(value);

    public override string ToString() => Value.ToString();
}

/// <summary>Which models are there, as the events tell it.</summary>
[Stream<ModelLibraryId>("model_library")]
public sealed record ModelLibrary
{
    /// <summary>By name.</summary>
    public ImmutableSortedDictionary<string, ModelImported> Models { get; init; } = ImmutableSortedDictionary.Create<string, ModelImported>(StringComparer.Ordinal);

    /// <summary>The last failure of a device that ran one of the models, on whichever node.</summary>
    public DeviceSetAside? LastSetAside { get; init; }

    public static ModelLibrary Create(ModelImported imported) => new ModelLibrary().Apply(imported);

    public static ModelLibrary Create(DeviceSetAside aside) => new ModelLibrary().Apply(aside);

    public ModelLibrary Apply(ModelImported imported) => this with { Models = Models.SetItem(imported.Name, imported) };

    public ModelLibrary Apply(ModelRemoved removed) => this with { Models = Models.Remove(removed.Name) };

    public ModelLibrary Apply(DeviceSetAside aside) => this with { LastSetAside = aside };
}
