using System.Collections;

namespace Platform.Messaging;

/// <summary>What a handler decided: facts to append to the stream of its state, in order. Written as a collection expression.</summary>
public sealed class Events : IReadOnlyList<object>
{
    private readonly List<object> items = [];

    public int Count => items.Count;

    public object this[int index] => items[index];

    public void Add(object fact) => items.Add(fact);

    public void AddRange(IEnumerable<object> facts) => items.AddRange(facts);

    public IEnumerator<object> GetEnumerator() => items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
