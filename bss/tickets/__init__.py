"""What is wrong, who works on it and until when: alarms become tickets, tickets have clocks, and the traffic says whether it is over."""
