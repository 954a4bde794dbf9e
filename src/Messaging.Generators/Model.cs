using System.Collections;
using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace System.Runtime.CompilerServices
{
    internal static class IsExternalInit;
}

namespace Platform.Messaging.Generators
{
    /// <summary>An array that is equal by its items, so that an unchanged model stops the generator's work.</summary>
    internal readonly struct Items<T>(ImmutableArray<T> array) : IEquatable<Items<T>>, IEnumerable<T> where T : IEquatable<T>
    {
        private readonly ImmutableArray<T> array = array;

        private ImmutableArray<T> Array => array.IsDefault ? ImmutableArray<T>.Empty : array;

        public int Count => Array.Length;

        public bool Equals(Items<T> other) => Array.SequenceEqual(other.Array);

        public override bool Equals(object? obj) => obj is Items<T> other && Equals(other);

        public override int GetHashCode() => Array.Aggregate(17, (hash, item) => unchecked((hash * 31) + item.GetHashCode()));

        public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)Array).GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <summary>A place in the source, without its syntax tree.</summary>
    internal sealed record Place(string Path, TextSpan Span, LinePositionSpan Lines)
    {
        public static Place? Of(ISymbol symbol) => symbol.Locations.FirstOrDefault(l => l.IsInSource) is { } location
            ? new Place(location.SourceTree!.FilePath, location.SourceSpan, location.GetLineSpan().Span)
            : null;

        public Location ToLocation() => Location.Create(Path, Span, Lines);
    }

    internal sealed record Fault(string Id, Place? Place, string First, string Second = "");

    internal sealed record TypeName(string Full, string Simple, string Alias, int Version, Place? Place)
    {
        public string Stored => Version == 1 ? Alias : $"{Alias}_v{Version}";
    }

    internal sealed record StateModel(TypeName Type, string StreamType, string IdType, bool Local, Items<TypeName> Creates, Items<TypeName> Applies, Items<Fault> Faults);

    internal sealed record HandlerModel(
        string Handler,
        Place? Place,
        TypeName? Command,
        StateModel? State,
        bool Required,
        string? StreamId,
        string? Key,
        string Retry,
        string QueueName,
        int? QueueParallel,
        string? Validate,
        string? Load,
        bool LoadHasValue,
        string Handle,
        Items<Fault> Faults);

    internal sealed record ContextModel(string Name, string Type);

    internal sealed record UpcasterModel(string Method, string Alias, int FromVersion, Items<Fault> Faults);
}
