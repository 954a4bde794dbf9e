using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Embedding.Batching;

/// <summary>A request between its tokens and its answer.</summary>
internal sealed class BatchRequest
{
    private readonly IReadOnlyList<PackedTokens> _parts;
    private readonly int _textsOfPart;
    private readonly float[][] _vectors;
    private int _open;

    /// <param name="parts">Its texts, <paramref name="textsOfPart"/> in each but the last.</param>
    public BatchRequest(IReadOnlyList<PackedTokens> parts, int textsOfPart)
    {
        (_parts, _textsOfPart, Place) = (parts, textsOfPart, new LinkedListNode<BatchRequest>(this));
        Lengths = new int[parts.Sum(part => part.Count)];
        for (var text = 0; text < Lengths.Length; text++) { Lengths[text] = this[text].Length; }

        (_vectors, _open) = (new float[Lengths.Length][], Lengths.Length);
    }

    /// <summary>Its place in the queue, where it is in one.</summary>
    public LinkedListNode<BatchRequest> Place { get; }

    /// <summary>In tokens, of each text.</summary>
    public int[] Lengths { get; }

    /// <summary>The first text that is in no batch.</summary>
    public int Next { get; set; }

    public TimeSpan Since { get; set; }

    /// <summary>Answered, failed or cancelled.</summary>
    public bool IsOver { get; set; }

    public TaskCompletionSource<float[][]> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ReadOnlySpan<int> this[int text] => _parts[text / _textsOfPart][text % _textsOfPart];

    /// <returns>All vectors, once the last one has come.</returns>
    public float[][]? Take(int first, ReadOnlySpan<float[]> vectors)
    {
        vectors.CopyTo(_vectors.AsSpan(first));
        return (_open -= vectors.Length) == 0 ? _vectors : null;
    }
}
