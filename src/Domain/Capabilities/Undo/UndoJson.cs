using System.Text.Json.Serialization;

namespace Platform.Domain.Capabilities.Undoing;

/// <summary>Names as in C#, enums as text, nulls left out: as Marten stores them.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(UndoRequested))]
[JsonSerializable(typeof(EffectUndoIntended))]
[JsonSerializable(typeof(EffectUndone))]
[JsonSerializable(typeof(EffectUndoSkipped))]
[JsonSerializable(typeof(EffectUndoRefused))]
[JsonSerializable(typeof(UndoCompleted))]
[JsonSerializable(typeof(RequestUndo))]
[JsonSerializable(typeof(UndoNextEffect))]
[JsonSerializable(typeof(PerformInverse))]
[JsonSerializable(typeof(UndoPlan))]
public sealed partial class UndoJson : JsonSerializerContext;
