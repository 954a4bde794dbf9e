using System.Text.Json.Serialization;
using Platform.Messaging;

namespace Platform.Bench;

/// <summary>The event that is written and read: about 340 bytes as JSON, text such as events hold.</summary>
internal sealed record Noted(long Number, string Author, string Subject, string Body, string[] Labels, DateTimeOffset At);

/// <summary>What is folded of them.</summary>
internal sealed record Notes(long Count, long Sum, string LastSubject, DateTimeOffset LastAt);

/// <summary>The sample's events, states and projection.</summary>
internal static class Note
{
    public const string StreamType = "notes";

    /// <summary>Of JSON, give or take a few.</summary>
    public const int Bytes = 340;

    public static readonly StateFold<Notes> Fold = new(StreamType, (state, fact) => fact is Noted noted ? After(state, noted) : state);

    public static readonly EventTypes Types = new([new EventType("noted", 1, typeof(Noted), static () => NoteJson.Default.Noted)], []);

    public static EventType Type { get; } = Types.Of(Of(0));

    public static Noted Of(long number) => new(
        number, "marianne.westergaard", "The second delivery of Tuesday is short by two crates",
        "Counted again with the driver present: eighteen crates on the note, sixteen on the truck. The supplier is told and wants a photograph of the note by noon.",
        ["delivery", "short", "supplier"], new DateTimeOffset(2026, 3, 4, 10, 30, 0, TimeSpan.Zero));

    /// <summary>About 220 bytes.</summary>
    public static Noted Small(long number) => Of(number) with { Body = "Counted again: sixteen of eighteen.", Labels = [] };

    public static Notes After(Notes? state, Noted noted) => new((state?.Count ?? 0) + 1, (state?.Sum ?? 0) + noted.Number, noted.Subject, noted.At);

    public static Projection<Notes> Projection(string name) => new(
        name, 1, ProjectionLifecycle.Async, NoteJson.Default.Notes,
        recorded => [recorded.StreamId.ToString()],
        (notes, _, recorded) => After(notes, (Noted)recorded.Data),
        notes => notes.LastAt.ToString("O"));
}

[JsonSerializable(typeof(Noted))]
[JsonSerializable(typeof(Notes))]
internal sealed partial class NoteJson : JsonSerializerContext;
