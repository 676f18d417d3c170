// An asynchronous socket server after the well-known sample: [4 bytes: data size][data].
// Answers each message with two: its size in digits, and the message itself.
using System;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;

class StateObject
{
    public Socket Socket;
    public byte[] Buffer;
    public int Count;
    public bool IsSize;
}

class AsynchronousSocketListener
{
    static readonly ManualResetEvent allDone = new ManualResetEvent(false);

    static void Main()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(100);
        Console.WriteLine("Listening on " + ((IPEndPoint)listener.LocalEndPoint).Port);
        while (true)
        {
            allDone.Reset();
            listener.BeginAccept(AcceptCallback, listener);
            allDone.WaitOne();
        }
    }

    static void AcceptCallback(IAsyncResult ar)
    {
        allDone.Set();
        var handler = ((Socket)ar.AsyncState).EndAccept(ar);
        Receive(new StateObject { Socket = handler, Buffer = new byte[4], IsSize = true });
    }

    static void Receive(StateObject state)
    {
        state.Socket.BeginReceive(
            state.Buffer, state.Count, state.Buffer.Length - state.Count, SocketFlags.None, ReceiveCallback, state);
    }

    static void ReceiveCallback(IAsyncResult ar)
    {
        var state = (StateObject)ar.AsyncState;
        int received = state.Socket.EndReceive(ar);
        if (received == 0)
        {
            state.Socket.Close();
            return;
        }
        state.Count += received;
        if (state.Count == state.Buffer.Length) state = Next(state);
        Receive(state);
    }

    // What is to be received after this.
    static StateObject Next(StateObject state)
    {
        if (state.IsSize)
        {
            int size = BitConverter.ToInt32(state.Buffer, 0);
            if (size > 0) return new StateObject { Socket = state.Socket, Buffer = new byte[size] };
            Answer(state.Socket, new byte[0]);
        }
        else
        {
            Answer(state.Socket, state.Buffer);
        }
        return new StateObject { Socket = state.Socket, Buffer = new byte[4], IsSize = true };
    }

    static void Answer(Socket handler, byte[] data)
    {
        Send(handler, Encoding.ASCII.GetBytes(data.Length.ToString()));
        Send(handler, data);
    }

    static void Send(Socket handler, byte[] data)
    {
        var frame = new byte[4 + data.Length];
        BitConverter.GetBytes(data.Length).CopyTo(frame, 0);
        data.CopyTo(frame, 4);
        handler.BeginSend(frame, 0, frame.Length, SocketFlags.None, ar => handler.EndSend(ar), null);
    }
}
