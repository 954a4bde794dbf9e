using System.Text.Json.Serialization;

namespace Platform.Domain.Inference;

/// <summary>Names as in C#, nulls left out: as Marten stores them.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ModelImported))]
[JsonSerializable(typeof(ModelRemoved))]
[JsonSerializable(typeof(DeviceSetAside))]
[JsonSerializable(typeof(ImportModel))]
[JsonSerializable(typeof(RemoveModel))]
[JsonSerializable(typeof(SetDeviceAside))]
public sealed partial class InferenceJson : JsonSerializerContext;
