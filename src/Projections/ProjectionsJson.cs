using System.Text.Json.Serialization;

namespace Platform.Projections;

/// <summary>Names as in C#, nulls left out.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RunSummary))]
public sealed partial class ProjectionsJson : JsonSerializerContext;
